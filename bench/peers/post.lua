-- One POST of 230 bytes as chat clients send it, for a stream where that is said. With a file of credentials (one header line per line) each request takes the next of them.
local body = '{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant."},{"role":"user","content":"Hello, what can you do for me today? Please answer in one short sentence, and be as kind as you can."}]}'
local requests = {}
local at = 0

function init(arguments)
  local path = arguments[1] or "/"
  local base = {
    ["content-type"] = "application/json",
    ["x-portkey-provider"] = "openai",
    ["x-portkey-custom-host"] = arguments[2] or "",
  }
  if arguments[5] == "stream" then body = body:gsub("^{", '{"stream":true,') end
  local lines = {}
  if arguments[3] then
    for line in io.lines(arguments[3]) do lines[#lines + 1] = line end
  else
    lines[1] = "authorization: Bearer bench"
  end
  for _, line in ipairs(lines) do
    local headers = {}
    for name, value in pairs(base) do headers[name] = value end
    local name, value = line:match("^([^:]+): (.*)$")
    headers[name] = value
    requests[#requests + 1] = wrk.format("POST", path, headers, body)
  end
  -- a short run begins anywhere, so that several of them see all
  if arguments[4] == "anywhere" then
    math.randomseed(os.time())
    at = math.random(#requests) - 1
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end
