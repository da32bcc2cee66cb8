/// A `precondition` whose message survives in release builds: for what a library's caller promises, such as shapes that agree.
///
/// The process ends if the promise is broken; what comes from files and users throws instead.
package func requirement(
    _ condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition() { fatalError(message(), file: file, line: line) }
}
