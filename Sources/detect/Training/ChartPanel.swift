// One plot of a chart: a heading with the legend, axes with a light grid, and curves.

import Foundation
import Images

/// A named curve of a plot.
struct ChartCurve: Sendable {
    struct Point: Sendable, Equatable {
        var x: Double
        var y: Double
    }

    /// How the points become a line.
    enum Style: Sendable {
        /// As they are, with dots where there is room for them.
        case exact
        /// Each point as the mean of its neighbours, nearer ones counting more.
        case smooth
        /// Smooth, with the points as they are as a pale thin line behind it.
        case smoothOverExact
    }

    var name: String
    var color: Color
    var style: Style
    /// Pixels.
    var lineWidth: Float
    /// By ascending x, all finite.
    var points: [Point]

    /// Means over an exponential window to both sides that grows with the number of values; at the ends, over what there is.
    ///
    /// O(count).
    static func smoothed(_ values: [Double]) -> [Double] {
        // The e-folding length, in points.
        let decay = exp(-1 / max(Double(values.count) / 40, 0.1))
        func sums(_ values: some Sequence<Double>) -> [(sum: Double, weight: Double)] {
            var (sum, weight) = (0.0, 0.0)
            return values.map { value in
                sum = sum * decay + value
                weight = weight * decay + 1
                return (sum, weight)
            }
        }
        let (before, after) = (sums(values), sums(values.reversed()))
        return values.indices.map { index in
            let (left, right) = (before[index], after[values.count - 1 - index])
            // The value itself is in both.
            return (left.sum + right.sum - values[index]) / (left.weight + right.weight - 1)
        }
    }
}

/// A plot, before it has a place on a canvas.
struct ChartPanel {
    /// A point to point out, with the text beside it.
    struct Mark {
        var point: ChartCurve.Point
        var text: String
        var color: Color
    }

    var heading: String
    var xAxis: ChartAxis
    var xLabel: String
    var yAxis: ChartAxis
    /// As in the legend; the first lies on top.
    var curves: [ChartCurve]
    var marks: [Mark] = []
    /// What stands in the plot when no curve has a point.
    var emptyText: String
}

/// Draws plots on a canvas.
struct ChartPainter {
    var canvas: Canvas
    let style: PictureStyle

    /// Draws a plot whose heading, axis labels and curves fill `area`.
    mutating func draw(_ panel: ChartPanel, in area: PixelRectangle) {
        let capital = style.text.capitalHeight
        let labelWidth = panel.yAxis.ticks.map { style.text.width(of: $0.label) }.max() ?? 0
        let plot = PixelRectangle(
            left: area.left + labelWidth + style.gap, top: area.top + style.headingText.capitalHeight + 2 * style.gap,
            right: area.right - style.gap, bottom: area.bottom - 2 * capital - 3 * style.gap)
        guard plot.left < plot.right, plot.top < plot.bottom else { return }
        drawHeading(panel, left: plot.left, right: plot.right, baseline: area.top + style.headingText.capitalHeight)
        drawAxes(panel, plot)
        let place = { (point: ChartCurve.Point) in Self.place(point, panel, plot) }
        guard panel.curves.contains(where: { !$0.points.isEmpty }) else {
            canvas.text(
                panel.emptyText, typeface: style.text, at: (plot.left + plot.right) / 2,
                baseline: (plot.top + plot.bottom + capital) / 2, alignment: .center, color: style.quietInk)
            return
        }
        for curve in panel.curves.reversed() { draw(curve, curve.points.map(place), plot) }
        for mark in panel.marks { draw(mark, at: place(mark.point), plot) }
    }

    /// Where a point lies, in pixels. What is far outside the plot is brought nearer, so that any number is safe.
    private static func place(
        _ point: ChartCurve.Point, _ panel: ChartPanel, _ plot: PixelRectangle
    ) -> (x: Float, y: Float) {
        let shares = [panel.xAxis.share(of: point.x), panel.yAxis.share(of: point.y)]
        let (x, y) = (min(max(shares[0], -1), 2), min(max(shares[1], -1), 2))
        return (
            Float(Double(plot.left) + x * Double(plot.right - plot.left)),
            Float(Double(plot.bottom) - y * Double(plot.bottom - plot.top))
        )
    }

    // MARK: - Around the curves

    /// The heading at the left, and the legend at the right as far as there is room.
    private mutating func drawHeading(_ panel: ChartPanel, left: Int, right: Int, baseline: Int) {
        let swatch = 2 * style.gap
        let widths = panel.curves.map { swatch + 6 + style.text.width(of: $0.name) }
        let legendWidth = widths.reduce(0, +) + 2 * style.gap * max(widths.count - 1, 0)
        let heading = style.headingText.fitted(panel.heading, width: right - left - legendWidth - 2 * style.gap)
        canvas.text(heading, typeface: style.headingText, at: left, baseline: baseline, color: style.ink)
        var pen = right - legendWidth
        for (curve, width) in zip(panel.curves, widths) {
            let middle = Float(baseline) - Float(style.text.capitalHeight) / 2
            canvas.line(
                from: (Float(pen) + 2, middle), to: (Float(pen + swatch) - 2, middle), width: 3, color: curve.color)
            canvas.text(
                curve.name, typeface: style.text, at: pen + swatch + 6, baseline: baseline, color: style.quietInk)
            pen += width + 2 * style.gap
        }
    }

    /// Grid, axes and the ticks' labels, and below them what x is.
    private mutating func drawAxes(_ panel: ChartPanel, _ plot: PixelRectangle) {
        let capital = style.text.capitalHeight
        func pixel(_ share: Double, from low: Int, to high: Int) -> Int {
            Int((Double(low) + share * Double(high - low)).rounded())
        }
        for tick in panel.yAxis.ticks {
            let row = pixel(panel.yAxis.share(of: tick.value), from: plot.bottom, to: plot.top)
            canvas.fillRectangle(
                PixelRectangle(left: plot.left, top: row, right: plot.right, bottom: row + 1), color: style.grid)
            canvas.text(
                tick.label, typeface: style.text, at: plot.left - style.gap, baseline: row + (capital + 1) / 2,
                alignment: .right, color: style.quietInk)
        }
        for tick in panel.xAxis.ticks {
            let column = pixel(panel.xAxis.share(of: tick.value), from: plot.left, to: plot.right)
            canvas.fillRectangle(
                PixelRectangle(left: column, top: plot.top, right: column + 1, bottom: plot.bottom + 5),
                color: style.grid)
            canvas.text(
                tick.label, typeface: style.text, at: column, baseline: plot.bottom + style.gap + capital,
                alignment: .center,
                color: style.quietInk)
        }
        canvas.fillRectangle(
            PixelRectangle(left: plot.left, top: plot.bottom, right: plot.right, bottom: plot.bottom + 1),
            color: style.axis)
        canvas.text(
            panel.xLabel, typeface: style.text, at: (plot.left + plot.right) / 2,
            baseline: plot.bottom + 2 * capital + 2 * style.gap + style.gap / 2, alignment: .center,
            color: style.quietInk)
    }

    // MARK: - Curves

    /// - Parameter places: of the curve's points, in pixels. Smoothing goes by them, so that it suits the axis.
    private mutating func draw(_ curve: ChartCurve, _ places: [(x: Float, y: Float)], _ plot: PixelRectangle) {
        // A line at the plot's edge is as thick as elsewhere.
        let limits = PixelRectangle(
            left: plot.left - 4, top: plot.top - 4, right: plot.right + 5, bottom: plot.bottom + 5)
        func draw(_ places: [(x: Float, y: Float)], width: Float, color: Color) {
            canvas.polyline(through: places, width: width, color: color, limits: limits)
        }
        let smooth = zip(places, ChartCurve.smoothed(places.map { Double($0.y) })).map { (x: $0.x, y: Float($1)) }
        switch curve.style {
        case .exact:
            draw(places, width: curve.lineWidth, color: curve.color)
            guard places.count <= (plot.right - plot.left) / 12 else { return }
            for place in places { canvas.disc(center: place, radius: curve.lineWidth * 1.4, color: curve.color) }
        case .smooth: draw(smooth, width: curve.lineWidth, color: curve.color)
        case .smoothOverExact:
            draw(places, width: 1, color: curve.color.mixed(with: style.ground, share: 0.65))
            draw(smooth, width: curve.lineWidth, color: curve.color)
        }
        // A single point is no line yet.
        if let only = places.first, places.count == 1 { canvas.disc(center: only, radius: 4, color: curve.color) }
    }

    /// A ring around the point and the text above it, or below where there is no room.
    private mutating func draw(_ mark: ChartPanel.Mark, at place: (x: Float, y: Float), _ plot: PixelRectangle) {
        canvas.disc(center: place, radius: 7, color: style.ground)
        canvas.disc(center: place, radius: 5.5, color: mark.color)
        canvas.disc(center: place, radius: 2.5, color: style.ground)
        let (width, capital) = (style.text.width(of: mark.text), style.text.capitalHeight)
        let padding = 4
        let left = min(max(Int(place.x) - width / 2, plot.left + padding), plot.right - width - padding)
        let above = Int(place.y) - 12 - padding
        let baseline = above - capital - padding >= plot.top ? above : Int(place.y) + 12 + padding + capital
        canvas.fillRectangle(
            PixelRectangle(
                left: left - padding, top: baseline - capital - padding, right: left + width + padding,
                bottom: baseline + padding), color: style.ground, opacity: 0.85)
        canvas.text(mark.text, typeface: style.text, at: left, baseline: baseline, color: style.ink)
    }
}
