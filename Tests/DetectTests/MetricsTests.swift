// `metrics.jsonl`, written and read back.

import Checkpoint
import TestSupport
import Testing

@testable import detect

@Suite struct MetricsTests {
    private func step(_ step: Int) -> StepMetrics {
        StepMetrics(
            step: step, epoch: Double(step) / 300, loss: 20 / Double(step),
            terms: [
                StepMetrics.Term(name: "loss_ce", value: 1.0 / 3), StepMetrics.Term(name: "loss_giou_0", value: 2e-7),
            ],
            learningRate: 1e-5, gradientNorm: 0.1, imagesPerSecond: 3, seconds: 12.5)
    }

    private func validation(_ step: Int, isBest: Bool = true) -> ValidationMetrics {
        ValidationMetrics(
            step: step, epoch: 2, statistics: (0..<12).map { $0 == 3 ? -1 : Double($0) / 13 },
            classes: [
                ValidationMetrics.ClassScore(
                    name: "a \"b\"\n", objects: 7, averagePrecision: 0.25, averagePrecision50: -1)
            ], seconds: 3, isBest: isBest)
    }

    @Test func linesAreWhatProgramsExpect() throws {
        #expect(
            step(100).json == """
                {"event":"step","step":100,"epoch":0.3333333333333333,"loss":0.2,\
                "terms":{"loss_ce":0.3333333333333333,"loss_giou_0":2e-07},"learning_rate":1e-05,\
                "gradient_norm":0.1,"images_per_second":3,"seconds":12.5}

                """)
        let line = try JSONValue(parsing: Array(validation(1000).json.utf8), origin: "line")
        #expect(line["event"] == .string("validation") && line["step"] == .integer(1000))
        #expect(line["epoch"] == .integer(2) && line["ap"] == .integer(0) && line["ap50"] == .number(1.0 / 13))
        #expect(line["is_best"] == .boolean(true))
        guard case .array(let classes)? = line["per_class"] else {
            Issue.record("\(line)")
            return
        }
        #expect(classes.first?["name"] == .string("a \"b\"\n") && classes.first?["ap50"] == .integer(-1))
    }

    @Test func whatIsWrittenIsReadBack() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let log = try MetricsLog(startingAt: path)
        #expect(try TrainingMetrics(contentsOf: path) == TrainingMetrics())
        try log.append(step(50))
        try log.append(step(100))
        try log.append(validation(100))
        try log.append(step(150))
        try log.append(validation(150, isBest: false))
        let expected = TrainingMetrics(
            steps: [step(50), step(100), step(150)], validations: [validation(100), validation(150, isBest: false)])
        #expect(log.metrics == expected)
        #expect(try TrainingMetrics(contentsOf: path) == expected)
        #expect(expected.best == validation(100))
        #expect(expected.steps[0].term("loss_ce") == 1.0 / 3 && expected.steps[0].term("loss") == nil)
        // In the order of the steps, each line at once.
        let events = try folder.text("metrics.jsonl").split(separator: "\n").map { $0.prefix(20) }
        #expect(events.map { $0.contains("\"step\"") } == [true, true, false, true, false])
        // A new training begins anew.
        #expect(try MetricsLog(startingAt: path).metrics == TrainingMetrics())
        #expect(try folder.bytes("metrics.jsonl").isEmpty)
    }

    @Test func numbersThatAreNoneAreNull() throws {
        var failing = step(50)
        failing.loss = .nan
        failing.gradientNorm = .infinity
        #expect(failing.json.contains("\"loss\":null") && failing.json.contains("\"gradient_norm\":null"))
        let read = try TrainingMetrics(parsing: Array(failing.json.utf8), path: "m")
        #expect(read.steps[0].loss.isNaN && read.steps[0].gradientNorm.isNaN && read.steps[0].learningRate == 1e-5)
    }

    @Test func resumingDropsWhatCameLater() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/metrics.jsonl"
        let all = [step(50).json, step(100).json, validation(100).json, step(150).json, validation(200).json]
        for (resumed, kept) in [(0, 0), (49, 0), (50, 1), (100, 3), (149, 3), (150, 4), (1000, 5)] {
            for damage in ["", "{\"event\":\"st", String(repeating: "\0", count: 30)] {
                try folder.add(Array((all.joined() + damage).utf8), as: "metrics.jsonl")
                let log = try MetricsLog(resuming: path, afterStep: resumed)
                #expect(try folder.text("metrics.jsonl") == all.prefix(kept).joined())
                try log.append(step(resumed + 1))
                #expect(try folder.text("metrics.jsonl") == all.prefix(kept).joined() + step(resumed + 1).json)
                #expect(try TrainingMetrics(contentsOf: path) == log.metrics)
            }
        }
        // Without a file there is nothing to drop.
        let other = folder.path + "/other.jsonl"
        #expect(try MetricsLog(resuming: other, afterStep: 7).metrics == TrainingMetrics())
        #expect(folder.files(in: ".").sorted() == ["metrics.jsonl", "other.jsonl"])
    }

    @Test func onlyTheLastLineMayBeDamaged() throws {
        let good = step(50).json
        let bad = [
            "{\"event\":\"st", "", "7", "null", "{\"event\":\"stop\"}", "\u{FFFF}",
            good.replacing("\"step\":50", with: "\"step\":-1").trimmed,
            good.replacing("\"step\":50", with: "\"step\":1.5").trimmed,
            good.replacing("\"loss\":0.4", with: "\"loss\":\"0.4\"").trimmed,
            good.replacing("\"terms\":{", with: "\"terms\":[").trimmed,
            good.replacing("\"event\":\"step\",", with: "\"event\":\"step\",\"event\":\"step\",").trimmed,
            validation(3).json.replacing("\"stats\":[0,", with: "\"stats\":[").trimmed,
            validation(3).json.replacing("\"stats\":[0,", with: "\"stats\":[7,").trimmed,
            validation(3).json.replacing("\"is_best\":true", with: "\"is_best\":1").trimmed,
            validation(3).json.replacing("\"objects\":7", with: "\"objects\":null").trimmed,
            String(repeating: "[", count: 100),
        ]
        for line in bad {
            for ending in ["", "\n"] {
                let read = try TrainingMetrics(parsing: Array((good + line + ending).utf8), path: "m")
                #expect(read == TrainingMetrics(steps: [step(50)]), "\(line)")
            }
            let error = #expect(throws: MetricsError.self, "\(line)") {
                try TrainingMetrics(parsing: Array((good + line + "\n" + good).utf8), path: "m.jsonl")
            }
            #expect(error?.line == 2 && error?.description.hasPrefix("m.jsonl: line 2: expected ") == true)
            #expect(error?.description.hasSuffix("without that line the training can go on") == true)
        }
    }

    @Test func otherFilesAreRefused() throws {
        let folder = try TemporaryFolder()
        #expect(throws: (any Error).self) { try TrainingMetrics(contentsOf: folder.path) }
        #expect(throws: (any Error).self) { try TrainingMetrics(contentsOf: folder.path + "/missing") }
        #expect(throws: (any Error).self) { try MetricsLog(startingAt: folder.path) }
    }
}

extension String {
    /// Without the line's end.
    fileprivate var trimmed: String { String(dropLast()) }
}
