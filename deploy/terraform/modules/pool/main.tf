# The addresses of a NAT that belongs to a region, by keys that are known before
# anything exists. A key keeps its address for good: more addresses come behind
# the others, and calls go over to the spare without a key moving.

locals {
  primary = [for n in range(var.nat_addresses) : format("%02d", n + 1)]
  keys    = concat(local.primary, ["spare"])
  active = {
    primary = local.primary
    both    = local.keys
    spare   = ["spare"]
  }[var.leave_by]
}
