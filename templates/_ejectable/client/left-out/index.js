// Stands for packages that Pipecat's transports ask for and this page never calls (package.json,
// "overrides"): daily-js, 67 kB of video calling, which they use for microphones when they are given
// no media manager, and they are given ours (src/media.ts); and a generator of protobuf code.
const needed = () => {
  throw new Error("This package was left out of the page: see overrides in package.json");
};

export default { createCallObject: needed, getCallInstance: needed };
