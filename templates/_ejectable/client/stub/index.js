// Replaces packages that Pipecat's transports import and this page never calls (see "overrides" in
// package.json): a generator of protobuf code, and daily-js, 67 kB of video calling. The transports
// use daily-js only if they get no media manager; src/media-manager.ts gives them one.
const fail = () => {
  throw new Error("This package is a stub: see overrides in package.json.");
};

export default { createCallObject: fail, getCallInstance: fail };
