import CGI
import CLinux
import Glibc

/// A script that was found: the directory it is run in, open, and its name there. Closes the directory at the end.
struct CGIScript: ~Copyable {
    let directory: CInt
    /// `./name`.
    let command: [CChar]
    /// How many of the path's components lead to the script; the rest is PATH_INFO.
    let componentCount: Int

    /// Finds the script below the root. Blocks for the file system.
    ///
    /// - Throws: `.notFound`; `.forbidden` for a path that leaves the root, by symbolic links too, and for what is not
    ///   an executable file; `.unavailable` where the root cannot be opened or descriptors have run out.
    init(_ path: CGIScriptPath, root: String) throws(BackendError) {
        let rootDescriptor = clinux_open_directory(root)
        guard rootDescriptor >= 0 else { throw BackendError(.unavailable, "the root cannot be opened: \(errno)") }
        defer { close(rootDescriptor) }

        let count = try Self.find(path, in: rootDescriptor)
        let parent = Self.join(path.components.prefix(count - 1))
        let directory = clinux_open_beneath(rootDescriptor, parent, O_DIRECTORY)
        guard directory >= 0 else { throw Self.error(errno) }
        self.directory = directory
        self.command = "./".utf8.map { CChar($0) } + path.components[count - 1].map { CChar(bitPattern: $0) } + [0]
        self.componentCount = count
    }

    deinit {
        close(self.directory)
    }

    private enum Kind {
        case executable
        case directory
        case other
    }

    private static func find(_ path: CGIScriptPath, in root: CInt) throws(BackendError) -> Int {
        let notFound: BackendError
        do throws(BackendError) {
            guard try self.kind(path.components[...], in: root) == .executable else { throw self.notExecutable }
            return path.components.count
        } catch {
            // What is not there may be a script followed by PATH_INFO; what is there but is no script, is not.
            guard path.mayEndEarlier, error.code == .notFound else { throw error }
            notFound = error
        }
        for count in 1..<max(1, path.components.count) {
            switch try self.kind(path.components.prefix(count), in: root) {
            case .executable: return count
            case .directory: continue
            case .other: throw self.notExecutable
            }
        }
        throw notFound
    }

    private static var notExecutable: BackendError {
        BackendError(.forbidden, "the path is not an executable file")
    }

    private static func kind(_ components: ArraySlice<[UInt8]>, in root: CInt) throws(BackendError) -> Kind {
        let descriptor = clinux_open_beneath(root, self.join(components), 0)
        guard descriptor >= 0 else { throw self.error(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw self.error(errno) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFREG: return status.st_mode & 0o111 != 0 ? .executable : .other
        default: return .other
        }
    }

    private static func join(_ components: ArraySlice<[UInt8]>) -> [CChar] {
        guard !components.isEmpty else { return [CChar(bitPattern: UInt8(ascii: ".")), 0] }
        return components.joined(separator: [UInt8(ascii: "/")]).map { CChar(bitPattern: $0) } + [0]
    }

    private static func error(_ number: CInt) -> BackendError {
        switch number {
        case ENOENT, ENOTDIR, ENAMETOOLONG: BackendError(.notFound, "there is no such script")
        case EXDEV, ELOOP: BackendError(.forbidden, "the script's path leaves the root")
        case EACCES, EPERM: BackendError(.forbidden, "the script may not be read")
        default: BackendError(.unavailable, "the script cannot be opened: error \(number)")
        }
    }
}
