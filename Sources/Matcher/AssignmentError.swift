// What can be wrong with an assignment problem or with the objects to match.

import Tensors

/// A cost matrix that has no cheapest full pairing.
public enum AssignmentError: DiagnosedError, Equatable {
    /// A cost is NaN or -infinity. NaN costs come from NaN logits or boxes.
    case invalidCost(row: Int, column: Int, cost: Double)
    /// Costs of +infinity forbid so many pairs that none is left for some row (or column, on a tall rectangle).
    case infeasible(rows: Int, columns: Int)

    public var code: String {
        switch self {
        case .invalidCost: "invalid_cost"
        case .infeasible: "infeasible_assignment"
        }
    }

    public var description: String {
        switch self {
        case .invalidCost(let row, let column, let cost):
            "the cost of row \(row) and column \(column) is \(cost); expected a number or +infinity:"
                + " look for NaN or infinity in what the costs are made of"
        case .infeasible(let rows, let columns):
            "\(rows) x \(columns) costs allow no pairing of \(min(rows, columns)) pairs: costs of +infinity forbid too many;"
                + " give a large finite cost to pairs that are only unwanted"
        }
    }

    // NaN equals NaN here, so that errors can be compared.
    public static func == (left: AssignmentError, right: AssignmentError) -> Bool {
        switch (left, right) {
        case (.invalidCost(let row, let column, let cost), .invalidCost(let otherRow, let otherColumn, let otherCost)):
            row == otherRow && column == otherColumn && (cost == otherCost || cost.isNaN && otherCost.isNaN)
        case (.infeasible(let rows, let columns), .infeasible(let otherRows, let otherColumns)):
            rows == otherRows && columns == otherColumns
        default: false
        }
    }
}

/// A labelled object that the network's outputs have no column for.
public enum MatchingError: DiagnosedError, Equatable {
    /// `image` counts the batch's images, `object` the image's objects.
    case classOutOfRange(image: Int, object: Int, classID: Int, classes: Int)

    public var code: String { "class_out_of_range" }

    public var description: String {
        switch self {
        case .classOutOfRange(let image, let object, let classID, let classes):
            "object \(object) of image \(image) has class \(classID); expected 0...\(classes - 1):"
                + " map the annotations' categories to the model's \(classes) classes"
        }
    }
}
