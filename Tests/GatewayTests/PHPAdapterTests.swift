import CGI
import Testing

@testable import Gateway

struct PHPAdapterTests {
    private static let setting = PHPAdapter.setting(file: "/usr/share/a.php")

    @Test(arguments: [
        ([], "auto_prepend_file=\"/usr/share/a.php\""),
        ([""], "auto_prepend_file=\"/usr/share/a.php\""),
        (["memory_limit=77M"], "memory_limit=77M\nauto_prepend_file=\"/usr/share/a.php\""),
        (["a=1\nb=2\n"], "a=1\nb=2\n\nauto_prepend_file=\"/usr/share/a.php\""),
        // php-fpm takes the last.
        (["a=1", "b=2"], "b=2\nauto_prepend_file=\"/usr/share/a.php\""),
    ])
    func theSettingStandsBehindNginxs(sent: [String], expected: String) {
        var parameters = Parameters()
        parameters.append("SCRIPT_NAME", "/x.php")
        for value in sent { parameters.append(PHPAdapter.parameterName, value) }
        PHPAdapter.add(Self.setting, to: &parameters)
        #expect(parameters.count == 2)
        #expect(parameters.string(PHPAdapter.parameterName) == expected)
        #expect(parameters.string("SCRIPT_NAME") == "/x.php")
    }
}
