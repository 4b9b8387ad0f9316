import Martlet
@_cdecl("martlet_hello") public func h() -> Int { hello() }
