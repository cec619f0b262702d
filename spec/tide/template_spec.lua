-- tide.template: texts of a bundle with variables.
describe("tide.template", function()
  local app = tide.spec.bundle("letters", { files = {
    ["hello.txt"] = "Hello {{ name }}, {{name}}: {{ count }} {{{ name }}} { {",
    ["mails/hello.html"] = '<p title="{{ name }}">{{ name }}</p>',
    ["render.lua"] = [[
      return {
        template = function(name, variables) return tide.template(name, variables) end,
        nested = function(name) return tide.template("hello.txt", { name = name, count = tide.json.null }) end,
      }]],
    ["init.lua"] = [[
      local ready = tide.template("hello.txt", { name = "load", count = 0 })
      local render = require "render"
      tide.route("GET /ready", function() return ready end)
      tide.route("GET /page", function(req) return tide.respond.html(200, render.template("mails/hello.html", { name = req.query.name })) end)
      tide.route("GET /missing", function(req) return tide.template(req.query.name or "none.txt") end)]],
    ["wrong.txt"] = "Hello\n {{ user.name }}",
  } })

  local function render(name, variables)
    return assert(app:call("render", "template", name, variables))
  end

  it("puts variables in, and leaves alone what is no variable", function()
    assert.equal("Hello a%1<b>, a%1<b>: 3 {a%1<b>} { {", render("hello.txt", { name = "a%1<b>", count = 3, unused = 1 }))
    assert.matches("^Hello load, load: 0 ", app:get("/ready").body)
  end)

  it("escapes them in HTML", function()
    assert.equal('<p title="&lt;script&gt;&quot;&#39;&amp;amp; ü">&lt;script&gt;&quot;&#39;&amp;amp; ü</p>',
      render("mails/hello.html", { name = "<script>\"'&amp; ü" }))
    assert.equal('<p title="&quot; onclick=&quot;x">&quot; onclick=&quot;x</p>', app:get("/page?name=%22%20onclick=%22x").body)
  end)

  it("takes names alone for variables", function()
    local text, err = app:call("render", "template", "wrong.txt", { name = "x" })
    assert.is_nil(text)
    assert.matches("letters/wrong.txt:2: '{{ user.name }}' is no variable: write {{ name }}", err.message, 1, true)
  end)

  it("misses no variable", function()
    local text, err = app:call("render", "template", "hello.txt", { name = "x" })
    assert.is_nil(text)
    assert.matches("render.lua:%d+: tide.template: 'hello.txt' uses 'count', which is not given", err.message)
  end)

  it("takes files of the bundle alone", function()
    for name, problem in pairs {
      ["none.txt"] = "'none.txt': No such file",
      ["../letters/hello.txt"] = "is no name of a file of the bundle",
      ["/etc/passwd"] = "is no name of a file of the bundle",
      ["mails"] = "'mails': ",
    } do
      local text, err = app:call("render", "template", name, {})
      assert.is_nil(text)
      assert.matches("render.lua:2: tide.template: ", err.message, 1, true)
      assert.matches(problem, err.message, 1, true)
    end
    assert.equal(500, app:get("/missing").status)
  end)
end)
