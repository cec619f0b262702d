-- tide.spec.upstream: a service in the place of another, whose routes are functions of the spec.
local native, load = ...

local report, route = load "report", load "route"
local TIMEOUT = 10 * 60 * 1000 -- ms: the client's is shorter

local upstream = { count = 0, problems = {} }

-- A failure is an answer; whatever else a handler raises is a mistake of the spec, or an assertion that did not hold.
local function guarded(handler)
  return function(req)
    local ok, answer, err = xpcall(handler, function(raised)
      if type(raised) ~= "table" or type(raised.code) ~= "string" then
        local text = type(raised) == "table" and raised.message or raised
        table.insert(upstream.problems, "in an upstream of the spec: " .. tostring(report.locate(text)))
      end
      return raised
    end, req)
    if not ok then
      error(answer, 0)
    end
    return answer, err
  end
end

-- All share one listener; each has a path of its own there, of which its handlers see nothing.
local function below(base, handler)
  return function(req)
    local path, target = req.path, req.target
    rawset(req, "path", path:sub(#base + 1))
    rawset(req, "target", (target:gsub("^(%a+://[^/]*)" .. base, "%1"):gsub("^" .. base, "")))
    return handler(req)
  end
end

-- Its URL. `routes`: { ["POST /login"] = function(request) ... end }
function upstream.open(routes)
  upstream.count = upstream.count + 1
  local base = "/" .. upstream.count
  for spec, handler in pairs(routes) do
    local method, path = tostring(spec):match "^(%S+) (/.*)$"
    if not method or type(handler) ~= "function" then
      report.misuse(('tide.spec.upstream: %q must be a route such as "POST /login", with a function'):format(tostring(spec)))
    end
    route.declare(method .. " " .. base .. path, { timeout = TIMEOUT }, below(base, guarded(handler)))
  end
  return ("http://127.0.0.1:%d%s"):format(native.spec_serve(), base)
end

return upstream
