// Which of the dataset's categories each of the network's classes is.

import COCO

/// The categories of a network's classes, which are the columns of its logits.
///
/// By name, exactly or else without regard to case, when at least one name agrees; otherwise the column's number is the
/// category's id, as in COCO models and in the command's `coco` output.
struct CategoryColumns: Sendable {
    private var categories: [Int: Int] = [:]
    /// Where the network's classes and the dataset's categories disagree.
    let warnings: [String]

    /// - Parameters:
    ///   - classNames: by column; nil for one without name.
    ///   - classCount: columns.
    ///   - weights: the network's path, for messages; `annotations` likewise the dataset's.
    /// - Throws: ``Failure`` when no class has a category.
    init(
        classNames: [String?], classCount: Int, categories: [Category], weights: String, annotations: String
    ) throws {
        let exact = Dictionary(categories.map { ($0.name, $0.id) }, uniquingKeysWith: { first, _ in first })
        let folded = Dictionary(
            categories.map { ($0.name.lowercased(), $0.id) }, uniquingKeysWith: { first, _ in first })
        for (column, name) in classNames.prefix(classCount).enumerated() {
            guard let name else { continue }
            self.categories[column] = exact[name] ?? folded[name.lowercased()]
        }
        var warnings: [String] = []
        if self.categories.isEmpty {
            for category in categories where 0..<classCount ~= category.id {
                self.categories[category.id] = category.id
            }
            let names = classNames.compactMap { $0 }
            if let name = names.first, !self.categories.isEmpty {
                warnings.append(
                    "none of the \(names.count) class names of \(weights) ('\(name)', ...) is a category of \(annotations)"
                        + " ('\(categories[0].name)', ...); taking class n for category id n")
            }
        }
        guard !self.categories.isEmpty else {
            let found = categories.prefix(3).map { "\($0.id) '\($0.name)'" }.joined(separator: ", ")
            throw Failure(
                code: "no_category",
                "\(annotations): categories: expected one with the name of a class of \(weights), or an id from 0 to"
                    + " \(classCount - 1), found \(categories.isEmpty ? "none" : found)"
                    + (categories.count > 3 ? ", ..." : ""))
        }
        let known = Set(self.categories.values)
        let missing = categories.filter { !known.contains($0.id) }.map { "'\($0.name)'" }
        if !missing.isEmpty {
            warnings.append(
                "\(weights) has no class for \(missing.count) of \(categories.count) categories, which count as not found: "
                    + missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? ", ..." : ""))
        }
        self.warnings = warnings
    }

    /// The category's id; nil for a class that has none.
    subscript(column: Int) -> Int? { categories[column] }
}
