# The fewest ranges that hold the given addresses and nothing else. An address
# becomes a number, so that neighbours differ by one; a range begins where there
# is no number one below, and ends where there is none one above.

locals {
  # The limits of an app's refresh token IP allowlist (Salesforce Help,
  # xcloud.set_ip_allowlist_for_refresh_tokens).
  max_ranges    = 128
  max_addresses = 256

  weights = [16777216, 65536, 256, 1]
  singles = [for a in var.addresses :
    sum([for i, octet in split(".", a) : tonumber(octet) * local.weights[i]])
  ]
  blocks = flatten([for p in var.prefixes : [
    for n in range(pow(2, 32 - tonumber(split("/", p)[1]))) :
    n + sum([for i, octet in split(".", split("/", p)[0]) : tonumber(octet) * local.weights[i]])
  ]])

  # sort is a sort of texts, so the numbers are padded for it.
  padded  = sort(distinct([for n in concat(local.singles, local.blocks) : format("%010d", n)]))
  numbers = [for s in local.padded : tonumber(s)]
  starts  = [for n in local.numbers : n if !contains(local.numbers, n - 1)]
  ends    = [for n in local.numbers : n if !contains(local.numbers, n + 1)]

  ranges = [for i, n in local.starts : {
    start = join(".", [for w in local.weights : floor(n / w) % 256])
    end   = join(".", [for w in local.weights : floor(local.ends[i] / w) % 256])
  }]
}
