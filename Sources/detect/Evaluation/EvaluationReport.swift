// The numbers of an evaluation, for people and for programs.

import COCO
import Checkpoint

struct EvaluationReport {
    let evaluation: BoxEvaluation

    /// One object on one line, with all digits.
    var json: String {
        JSONText.object([
            ("stats", JSONText.array(evaluation.statistics.map(Self.number))),
            (
                "per_class",
                JSONText.array(
                    evaluation.categoryScores.map { score in
                        JSONText.object([
                            ("category_id", "\(score.category.id)"), ("name", JSONValue.quoted(score.category.name)),
                            ("objects", "\(score.objectCount)"), ("ap", Self.number(score.averagePrecision)),
                            ("ap50", Self.number(score.averagePrecision50)),
                            ("ap75", Self.number(score.averagePrecision75)), ("ar", Self.number(score.averageRecall)),
                        ])
                    })
            ),
        ]) + "\n"
    }

    /// -1 as pycocotools' readers expect it.
    private static func number(_ value: Double) -> String { value == -1 ? "-1" : "\(value)" }

    /// The lines of pycocotools, and a table of the classes.
    var text: String {
        let scores = evaluation.categoryScores
        guard !scores.isEmpty else { return evaluation.summary }
        let header = ["class", "objects", "AP", "AP50", "AP75", "AR"]
        let rows = scores.map { score in
            let numbers = [
                score.averagePrecision, score.averagePrecision50, score.averagePrecision75, score.averageRecall,
            ]
            return [score.category.name.printable, "\(score.objectCount)"] + numbers.map { decimal($0, 3) }
        }
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        let lines = ([header] + rows).map { row in
            row.indices.map { column in
                let space = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + space : space + row[column]
            }.joined(separator: "  ")
        }
        return evaluation.summary + "\n" + lines.map { " \($0)\n" }.joined()
    }
}
