// The picture of a training: how its loss fell, and what its evaluations found.

import Foundation
import Images

/// Draws a training's metrics: at the left the loss, at the right average precision.
struct TrainingChart {
    /// What was trained.
    private let title: String
    private let metrics: TrainingMetrics
    private let lastStep: Int
    private let lastEpoch: Double

    /// From this range on, the loss has a logarithmic axis.
    private static let logarithmicRatio = 10.0
    /// From so many epochs on, they are what x counts, and steps before.
    private static let leastEpochs = 3.0

    private static let blue = Color(0x1F5FD0)
    private static let orange = Color(0xE8710A)
    private static let green = Color(0x1A8F5A)
    private static let purple = Color(0x9A4FC9)

    init(title: String, metrics: TrainingMetrics) {
        self.title = title
        self.metrics = metrics
        lastStep = (metrics.steps.map(\.step) + metrics.validations.map(\.step)).max() ?? 0
        lastEpoch =
            (metrics.steps.map(\.epoch) + metrics.validations.map(\.epoch)).filter(\.isFinite).max() ?? 0
    }

    /// The chart as an image; without metrics, it says so in empty axes. Numbers that are not finite are left out.
    ///
    /// - Precondition: both sides are positive.
    func image(width: Int = 1200, height: Int = 500) -> Image {
        let style = PictureStyle()
        var painter = ChartPainter(canvas: Canvas(width: width, height: height, color: style.ground), style: style)
        let margin = style.margin
        let baseline = margin + style.titleText.capitalHeight
        let summary = style.text.fitted(summary, width: width - 2 * margin)
        let room = width - 3 * margin - style.text.width(of: summary)
        painter.canvas.text(
            style.titleText.fitted(title.printable, width: room), typeface: style.titleText, at: margin,
            baseline: baseline,
            color: style.ink)
        painter.canvas.text(
            summary, typeface: style.text, at: width - margin, baseline: baseline, alignment: .right,
            color: style.quietInk)
        let (top, bottom) = (baseline + 3 * style.gap, height - margin / 2)
        let middle = width / 2
        painter.draw(
            lossPanel, in: PixelRectangle(left: margin, top: top, right: middle - margin / 2, bottom: bottom))
        painter.draw(
            precisionPanel,
            in: PixelRectangle(left: middle + margin / 2, top: top, right: width - margin + style.gap, bottom: bottom))
        return painter.canvas.image
    }

    /// How far the training has come, and the best that it found.
    private var summary: String {
        var parts: [String] = []
        if lastStep > 0 { parts.append("\(grouped(lastStep)) \(lastStep == 1 ? "step" : "steps")") }
        if countsEpochs { parts.append("\(Self.short(lastEpoch)) epochs") }
        if let best = metrics.best, best.averagePrecision >= 0 {
            let place = countsEpochs ? "epoch \(Self.short(best.epoch))" : "step \(grouped(best.step))"
            parts.append("best AP \(decimal(best.averagePrecision, 3)) at \(place)")
        }
        return parts.joined(separator: "  \u{B7}  ")
    }

    /// With one decimal, unless it is 0.
    private static func short(_ epochs: Double) -> String {
        let text = decimal(epochs, 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    // MARK: - Along x

    private var countsEpochs: Bool { lastEpoch >= Self.leastEpochs }

    private var xAxis: ChartAxis { .counting(to: countsEpochs ? lastEpoch : Double(lastStep)) }

    private var xLabel: String { countsEpochs ? "epoch" : "step" }

    private func point(step: Int, epoch: Double, y: Double?) -> ChartCurve.Point? {
        let x = countsEpochs ? epoch : Double(step)
        guard let y, x.isFinite, y.isFinite else { return nil }
        return ChartCurve.Point(x: x, y: y)
    }

    // MARK: - The two plots

    private var lossPanel: ChartPanel {
        func points(_ value: (StepMetrics) -> Double?) -> [ChartCurve.Point] {
            metrics.steps.compactMap { point(step: $0.step, epoch: $0.epoch, y: value($0)) }
        }
        let terms = [
            ("loss_ce", "class", Self.orange), ("loss_bbox", "box L1", Self.green), ("loss_giou", "GIoU", Self.purple),
        ]
        let total = ChartCurve(
            name: "total", color: Self.blue, style: .smoothOverExact, lineWidth: 2.5, points: points(\.loss))
        let parts = terms.map { term, name, color in
            ChartCurve(name: name, color: color, style: .smooth, lineWidth: 1.75, points: points { $0.term(term) })
        }
        let curves = [total] + parts.filter { !$0.points.isEmpty }
        let values = curves.flatMap { $0.points.map(\.y) }
        let (low, high) = (values.min() ?? 0, values.max() ?? 1)
        let isLogarithmic = low > 0 && high / low > Self.logarithmicRatio
        return ChartPanel(
            heading: isLogarithmic ? "Loss (log scale)" : "Loss", xAxis: xAxis, xLabel: xLabel,
            yAxis: isLogarithmic ? .logarithmic(covering: low...high) : .linear(covering: low...high), curves: curves,
            emptyText: "no steps yet")
    }

    private var precisionPanel: ChartPanel {
        func curve(
            _ name: String, _ color: Color, lineWidth: Float, _ value: (ValidationMetrics) -> Double
        ) -> ChartCurve {
            // -1 says that there are no objects to find.
            let points = metrics.validations.filter { value($0) >= 0 }.compactMap {
                point(step: $0.step, epoch: $0.epoch, y: value($0))
            }
            return ChartCurve(name: name, color: color, style: .exact, lineWidth: lineWidth, points: points)
        }
        let curves = [
            curve("AP", Self.blue, lineWidth: 2.5, \.averagePrecision),
            curve("AP50", Self.orange, lineWidth: 1.75, \.averagePrecision50),
            curve("AP75", Self.green, lineWidth: 1.75, \.averagePrecision75),
        ]
        let highest = curves.flatMap { $0.points.map(\.y) }.max() ?? 1
        var marks: [ChartPanel.Mark] = []
        if let best = metrics.best, best.averagePrecision >= 0,
            let point = point(step: best.step, epoch: best.epoch, y: best.averagePrecision)
        {
            marks = [ChartPanel.Mark(point: point, text: "best \(decimal(point.y, 3))", color: Self.blue)]
        }
        return ChartPanel(
            heading: "Validation", xAxis: xAxis, xLabel: xLabel,
            yAxis: .linear(covering: 0...min(max(highest, 0.01), 1)),
            curves: curves, marks: marks, emptyText: "no validation yet")
    }
}
