import Foundation
import Tensors

/// The whole of a probe, a program that tools outside Swift measure: prints what `run` makes of the command line.
///
/// - Parameter request: what the command line asks for; nil, and the probe ends with status 64 and the usage.
/// - Returns: never: the status is 1, with the error's code and text on standard error, when `run` throws.
public func answer<Request>(_ request: Request?, usage: String, run: (Request) throws -> String) -> Never {
    func end(_ status: Int32, _ text: String) -> Never {
        FileHandle.standardError.write(Data(text.utf8))
        exit(status)
    }
    guard let request else { end(64, usage) }
    do {
        print(try run(request))
    } catch {
        end(1, "\((error as? any DiagnosedError)?.code ?? "error")\n\(error)\n")
    }
    exit(0)
}
