import CGI
import NIOCore

/// How php-fpm is made to prepend the adapter to a site's scripts.
enum PHPAdapter {
    /// php-fpm takes the last parameter of this name, one setting per line; a later line counts more than an earlier one.
    static let parameterName = "PHP_ADMIN_VALUE"

    /// - Parameter file: a path without quotes, backslashes and dollar signs.
    static func setting(file: String) -> String { "auto_prepend_file=\"\(file)\"" }

    /// Adds the setting behind those that nginx sends.
    static func add(_ setting: String, to parameters: inout Parameters) {
        guard var settings = parameters.lastBytes(Self.parameterName).map({ ByteBuffer($0) }),
            settings.readableBytes > 0
        else {
            parameters.set(Self.parameterName, setting)
            return
        }
        settings.writeString("\n")
        settings.writeString(setting)
        parameters.remove(Self.parameterName)
        parameters.append(Self.parameterName, settings)
    }
}
