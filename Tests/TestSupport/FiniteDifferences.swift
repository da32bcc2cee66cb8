import Tensors

/// The gradient of a scalar function by central differences: the oracle of a backward pass.
///
/// - Parameters:
///   - point: where to differentiate, as many numbers as the function takes.
///   - indices: which of them; nil for all. Others stay 0.
///   - step: half the distance between the two evaluations.
public func finiteDifferences(
    at point: [Double], indices: [Int]? = nil, step: Double = 1e-6, of function: ([Double]) -> Double
) -> [Double] {
    var gradient = [Double](repeating: 0, count: point.count)
    var moved = point
    for index in indices ?? Array(point.indices) {
        moved[index] = point[index] + step
        let above = function(moved)
        moved[index] = point[index] - step
        let below = function(moved)
        moved[index] = point[index]
        gradient[index] = (above - below) / (2 * step)
    }
    return gradient
}
