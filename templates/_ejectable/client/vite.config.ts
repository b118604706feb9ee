import { defineConfig } from "vite";

// File names carry no hash, so that a rebuild shows up as changed files only. Browsers revalidate
// their copies with the server.
const names = {
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  assetFileNames: "[name][extname]",
};

export default defineConfig({
  base: "./",
  build: {
    outDir: "../server/internal/page",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // have light-dark()
    license: { fileName: "licenses.md" },
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { page: "index.html", voice: "src/embed/voice.ts" },
      output: {
        ...names,
        codeSplitting: { groups: [{ name: "pipecat", test: /client-js|client\/stub/ }] },
      },
    },
  },
  worker: { format: "es", rolldownOptions: { output: names } },
  // `npm run dev` reloads the page on every saved file. Requests go to the session server that
  // `voicecore dev` runs.
  server: {
    proxy: Object.fromEntries(
      ["/config", "/start", "/sessions"].map((path) => [path, "http://127.0.0.1:7860"]),
    ),
  },
});
