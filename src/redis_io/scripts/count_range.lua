-- Counts entries behind one id up to another, a part at a time, so that nobody waits long. KEYS[1] stream; ARGV[1] the id to begin behind,
-- ARGV[2] the last id, ARGV[3] most entries, ARGV[4] bytes of entries after which it stops. Answers { counted, where to go on or '' }.
local counted, _, last, more = count_entries(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]))
return { counted, more and last or '' }
