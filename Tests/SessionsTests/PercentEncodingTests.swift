import Sessions
import Testing

struct PercentEncodingTests {
    @Test(arguments: [("", ""), ("a b", "a b"), ("a%20b%2F", "a b/"), ("%e4%BD%a0", "你"), ("%25", "%")])
    func textIsDecoded(text: String, decoded: String) {
        #expect(PercentEncoding.decode(text) == decoded)
    }

    @Test(arguments: ["%", "a%2", "%zz", "%+5", "%-1", "%2%"])
    func whatIsNoEncodingIsRefused(text: String) {
        #expect(PercentEncoding.decode(text) == nil)
    }
}
