import MartletRuntime
public func hello() -> Int { allTables().count }
