// Runs and times one attention module of a case file, for tools/benchmark_attention.py:
// `attention-probe CASE.safetensors OUT.safetensors [--runs N] [--threads N] [--backward]`.
//
// After one run to warm up come N timed ones. OUT gets `output`, with --backward `gradient.<input>` and `gradient.<parameter>` too.
// Standard output has one line of JSON: median_seconds, seconds (all), idle_memory_bytes (resident before the first run),
// peak_memory_bytes (resident, of the whole process) and threads. Of a refused case, standard error has the error's code and text.

import TestSupport

answer(Request(Array(CommandLine.arguments.dropFirst())), usage: Request.usage) { try Probe(request: $0).run() }
