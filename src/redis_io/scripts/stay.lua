-- Renews our name lease. KEYS[1] lease; ARGV[1] its value, ARGV[2] its lifetime in ms. 0: it is no longer ours.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
