// Runs and times one attention module of a case file, for tools/benchmark_attention.py:
// `attention-probe CASE.safetensors OUT.safetensors [--runs N] [--threads N] [--backward]`.
//
// After one run to warm up come N timed ones. OUT gets `output`, with --backward `gradient.<input>` and `gradient.<parameter>` too.
// Standard output has one line of JSON: median_seconds, seconds (all), idle_memory_bytes (resident before the first run),
// peak_memory_bytes (resident, of the whole process) and threads. Of a refused case, standard error has the error's code and text.

import Foundation
import Tensors

guard let request = Request(Array(CommandLine.arguments.dropFirst())) else {
    FileHandle.standardError.write(Data(Request.usage.utf8))
    exit(64)
}
do {
    print(try Probe(request: request).run())
} catch {
    let code = (error as? any DiagnosedError)?.code ?? "error"
    FileHandle.standardError.write(Data("\(code)\n\(error)\n".utf8))
    exit(1)
}
