/// The colours of attention weights: blue for none, by light blue, yellow and orange to red for the largest.
package enum WeightColors {
    private static let stops = [0x1F3DFF, 0x00BFFF, 0xFFE600, 0xFF8000, 0xF00018].map { Color($0) }

    /// - Parameter share: of the largest weight, 0...1; what lies outside is brought inside, and NaN is 0.
    package static func color(ofShare share: Float) -> Color {
        let place = share.isNaN ? 0 : min(max(share, 0), 1) * Float(stops.count - 1)
        let stop = min(Int(place), stops.count - 2)
        return stops[stop].mixed(with: stops[stop + 1], share: place - Float(stop))
    }
}
