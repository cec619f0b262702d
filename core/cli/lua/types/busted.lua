---@meta busted
-- Written by `tidemill types`: what specs have of busted and luassert. Editors read it; it is never run.

-- ---- busted ----

---A group of tests; its body runs before any of them.
---@param name string
---@param body fun()
function describe(name, body) end

---A test. What waits just works in it.
---@param name string # with #TAG for --tag
---@param body? fun()
function it(name, body) end

---A test that is to be written.
---@param name string # or, in a test, why it is not done here
---@param body? fun()
function pending(name, body) end

---@param body fun()
function setup(body) end

---@param body fun()
function teardown(body) end

---@param body fun()
function before_each(body) end

---@param body fun()
function after_each(body) end

---@param body fun()
function finally(body) end

-- ---- luassert ----

---`assert.is_true(value)`, also as `assert.is.True(value)`. Each fails the test with both values, and a message when one is given.
---@class luassert
---@field is luassert
---@field is_not luassert
---@field are luassert
---@field are_not luassert
---@field has luassert
---@field has_no luassert
---@overload fun<T, T1>(v: T, ...: T1...): std.NotNull<T>, T1...
local luassert = {}

---@type luassert
assert = nil

---The same value, or the same table.
---@param expected any
---@param actual any
---@param message? any
function luassert.equal(expected, actual, message) end

---Equal, or tables with the same content.
---@param expected any
---@param actual any
---@param message? any
function luassert.same(expected, actual, message) end

---@param expected number
---@param actual any
---@param tolerance number
---@param message? any
function luassert.near(expected, actual, tolerance, message) end

---@param pattern any # Lua's
---@param text any
---@param init? integer
---@param plain? boolean
function luassert.matches(pattern, text, init, plain) end

---@param value any
---@param message? any
function luassert.is_true(value, message) end

---@param value any
---@param message? any
function luassert.is_nil(value, message) end

---@param value any
---@param message? any
function luassert.truthy(value, message) end

---@param value any
---@param type_name type
---@param message? any
function luassert.is_type(value, type_name, message) end

---@param value any
---@param message? any
function luassert.is_string(value, message) end

---The function raises, and what it raises is `expected` where that is given.
---@param f fun()
---@param expected? any
---@param message? any
function luassert.has_error(f, expected, message) end

---@param f fun()
---@param pattern string # Lua's
---@param init? integer
---@param plain? boolean
function luassert.error_matches(f, pattern, init, plain) end

luassert.equals, luassert.are_equal, luassert.is_equal = luassert.equal, luassert.equal, luassert.equal
luassert.not_equal, luassert.are_not_equal, luassert.is_not_equal = luassert.equal, luassert.equal, luassert.equal
luassert.are_same, luassert.is_same = luassert.same, luassert.same
luassert.not_same, luassert.are_not_same, luassert.is_not_same = luassert.same, luassert.same, luassert.same
luassert.is_near, luassert.not_near = luassert.near, luassert.near
luassert.match, luassert.is_match, luassert.not_matches, luassert.no_match = luassert.matches, luassert.matches, luassert.matches, luassert.matches
luassert.True, luassert.False, luassert.is_false = luassert.is_true, luassert.is_true, luassert.is_true
luassert.Nil, luassert.is_not_nil, luassert.not_nil = luassert.is_nil, luassert.is_nil, luassert.is_nil
luassert.is_truthy, luassert.falsy, luassert.is_falsy = luassert.truthy, luassert.truthy, luassert.truthy
luassert.is_table, luassert.is_number, luassert.is_boolean = luassert.is_string, luassert.is_string, luassert.is_string
luassert.is_function, luassert.is_userdata = luassert.is_string, luassert.is_string
luassert.error, luassert.errors, luassert.has_errors = luassert.has_error, luassert.has_error, luassert.has_error
luassert.has_no_error, luassert.has_no_errors, luassert.no_error = luassert.has_error, luassert.has_error, luassert.has_error

return luassert
