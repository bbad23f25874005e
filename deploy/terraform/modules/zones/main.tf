# Which zone has a NAT gateway, by which address it leaves, and who is routed
# to it. Keys of addresses never depend on ids, which aren't known before
# resources exist, nor on which gateway leaves by the spare.

locals {
  first    = var.nat_zone == null ? sort(keys(var.zones))[0] : var.nat_zone
  gateways = var.per_zone ? sort(keys(var.zones)) : [local.first]

  # The first address isn't named after its zone: a lone gateway may go to another.
  address_of = { for z in local.gateways : z => z == local.first ? "first" : z }
}
