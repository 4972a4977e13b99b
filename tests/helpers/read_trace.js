// Reads a trace of Trace Event Format from stdin with @tracerbench/trace-model; prints what that makes of it, as JSON.
// Usage: node read_trace.js NODE_MODULES
const { buildModel } = require(require("path").join(process.argv[2], "@tracerbench", "trace-model"));
const model = buildModel(JSON.parse(require("fs").readFileSync(0, "utf8")));
const slice = (event) => ({ name: event.name, us: event.duration, parent: event.parent ? event.parent.name : null });
const threads = model.processes.flatMap((process) =>
  process.threads.map((thread) => ({
    process: process.name,
    name: thread.name,
    slices: thread.events.filter((event) => event.isComplete()).map(slice),
  })),
);
const counters = model.events.filter((event) => event.isCounter()).map((event) => event.name);
process.stdout.write(JSON.stringify({ threads, counters }));
