import { defineConfig } from "vite";

// Names stay the same from build to build, so that a new build shows as changed files and no more;
// the server lets browsers ask whether what they have is still the same.
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
    license: { fileName: "licences.md" },
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { page: "index.html" },
      output: {
        ...names,
        codeSplitting: { groups: [{ name: "pipecat", test: /client-js|left-out/ }] },
      },
    },
  },
  worker: { format: "es", rolldownOptions: { output: names } },
  // `npm run dev` shows a saved file at once, with the session server of `voicecore dev` behind it.
  server: {
    proxy: Object.fromEntries(
      ["/config", "/start", "/sessions"].map((path) => [path, "http://127.0.0.1:7860"]),
    ),
  },
});
