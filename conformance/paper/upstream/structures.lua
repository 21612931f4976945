-- Tables, strings, closures and floating point: what Lua programs are made of, n rounds of it.
local function fib(i)
  if i < 2 then return i end
  return fib(i - 1) + fib(i - 2)
end

local function sieve(limit)
  local composite, count = {}, 0
  for i = 2, limit do
    if not composite[i] then
      count = count + 1
      for j = i * i, limit, i do composite[j] = true end
    end
  end
  return count
end

local function words(count)
  local seen, state = {}, 42
  for i = 1, count do
    state = (state * 1103515245 + 12345) & 0x7fffffff
    local word = string.format("w%d", state % 997)
    seen[word] = (seen[word] or 0) + 1
  end
  local list = {}
  for word in pairs(seen) do list[#list + 1] = word end
  table.sort(list, function(a, b)
    if seen[a] ~= seen[b] then return seen[a] > seen[b] end
    return a < b
  end)
  return table.concat(list, " ", 1, 10):gsub("w", "#")
end

local function spectral(size)
  local u, v = {}, {}
  for i = 1, size do u[i] = 1.0 end
  for _ = 1, 4 do
    for i = 1, size do
      local sum = 0.0
      for j = 1, size do sum = sum + u[j] / ((i + j - 2) * (i + j - 1) / 2 + i) end
      v[i] = sum
    end
    u, v = v, u
  end
  return math.floor(u[1] * 1e9)
end

local Point = {}
Point.__index = Point
function Point.new(x, y) return setmetatable({ x = x, y = y }, Point) end
function Point:plus(other) return Point.new(self.x + other.x, self.y + other.y) end

for round = 1, n do
  local sum = Point.new(0, 0)
  for i = 1, 60000 do sum = sum:plus(Point.new(i, -i)) end
  print(round, fib(22), sieve(60000), words(20000), spectral(60), sum.x, sum.y)
end
