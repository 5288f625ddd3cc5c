-- Entries are read whole even where they are only counted, so a page of large ones would hold up the server for seconds. The first page is
-- of one entry; each further one of twice as many, of no more than are expected to fit into the bytes that are left, and of 16 at most.
local PAGE_MAX = 16
local function page_after(asked, counted, bytes, bytes_max)
  local fits = 1
  if counted > 0 then
    fits = math.floor((bytes_max - bytes) * counted / math.max(bytes, 1))
  end
  return math.max(1, math.min(2 * asked, PAGE_MAX, fits))
end

-- Counts the entries of a stream behind one id up to another, at most so many, until those seen have so many bytes. Answers how many,
-- the first and the last of them, and whether there may be more.
local function count_entries(stream, from, to, limit, bytes_max)
  local counted, bytes, asked, more = 0, 0, 0, true
  local first = ''
  while more and counted < limit and bytes < bytes_max do
    asked = math.min(page_after(asked, counted, bytes, bytes_max), limit - counted)
    local page = redis.call('XRANGE', stream, '(' .. from, to, 'COUNT', asked)
    more = #page == asked
    if first == '' and page[1] then
      first = page[1][1]
    end
    for _, entry in ipairs(page) do
      from = entry[1]
      bytes = bytes + bytes_of(entry[2])
    end
    counted = counted + #page
  end
  return counted, first, from, more
end
