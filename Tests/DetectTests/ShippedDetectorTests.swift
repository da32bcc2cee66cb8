// The detector that ships: that it finds what the sample images show.

import Checkpoint
import Foundation
import TestSupport
import Testing

@Suite struct ShippedDetectorTests {
    private static let samples = Command.repository.appendingPathComponent("samples").path

    /// What `make demo` shows.
    @Test func itFindsTheCodesInTheSamples() throws {
        let result = try Command.run(
            [Self.samples, "--weights", "\(Self.samples)/codes.bin", "--no-images", "-f", "json"], in: TemporaryFolder()
        )
        #expect(result.status == 0, "\(result.error)")
        let json = try JSONValue(parsing: Array(result.output.utf8), origin: "output")
        guard case .array(let records) = json else {
            Issue.record("\(json)")
            return
        }
        var found: [String: [String]] = [:]
        for record in records {
            guard case .string(let path)? = record["path"], case .array(let detections)? = record["detections"] else {
                Issue.record("\(record)")
                continue
            }
            let labels = detections.compactMap { detection in
                if case .string(let label)? = detection["label"] { label } else { nil }
            }
            found[URL(fileURLWithPath: path).lastPathComponent] = labels.sorted()
        }
        #expect(
            found == [
                "bottle.jpg": ["data_matrix"], "film.jpg": ["pdf417"], "hand.jpg": ["qr_code"],
                "label.jpg": ["aztec", "linear"], "tape.jpg": ["linear"],
            ])
    }
}
