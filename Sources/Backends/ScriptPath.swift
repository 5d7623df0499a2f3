/// Decisions about paths that come from outside, on bytes alone: nothing is asked of the file system.
enum ScriptPath {
    /// The part of an absolute path below an absolute root, without empty and `.` components.
    ///
    /// - Returns: `nil` if the path is not absolute, has a `..` component or a control character, or is not below the
    ///   root. Symbolic links are not resolved.
    static func below(_ root: some Collection<UInt8>, _ path: some Collection<UInt8>) -> [[UInt8]]? {
        guard let rootComponents = self.components(ofAbsolute: root),
            let components = self.components(ofAbsolute: path),
            components.count > rootComponents.count, components.starts(with: rootComponents)
        else { return nil }
        return Array(components[rootComponents.count...])
    }

    /// - Returns: `nil` if the path is not absolute, has a `..` component or a control character.
    static func components(ofAbsolute path: some Collection<UInt8>) -> [[UInt8]]? {
        guard path.first == UInt8(ascii: "/"), !self.hasControlCharacter(path) else { return nil }
        var components: [[UInt8]] = []
        for component in path.split(separator: UInt8(ascii: "/")) {
            let bytes = Array(component)
            if bytes == [UInt8(ascii: ".")] { continue }
            if bytes == [UInt8(ascii: "."), UInt8(ascii: ".")] { return nil }
            components.append(bytes)
        }
        return components
    }

    /// NUL ends a path early, LF and CR end the patterns early by which web servers split one.
    static func hasControlCharacter(_ path: some Collection<UInt8>) -> Bool {
        path.contains { $0 < 0x20 || $0 == 0x7F }
    }
}
