output "address_keys" {
  description = "The keys of all addresses: first, the zones beside it with per_zone, and spare."
  value       = concat([for z in local.gateways : local.address_of[z]], ["spare"])
}

output "gateways" {
  description = "By zone with a NAT gateway: the key of the address that it leaves by."
  value       = { for z, key in local.address_of : z => z == var.spare_in ? "spare" : key }
}

output "routes" {
  description = "The default routes of existing route tables, by zone and place in route_table_ids: which table, and to which zone's gateway."
  value = merge([for z, zone in var.zones : {
    for i, id in zone.route_table_ids : "${z}/${i}" => { route_table_id = id, gateway = var.per_zone ? z : local.first }
  }]...)
}

output "public_subnets" {
  description = "The public subnets to make: CIDR by zone."
  value       = { for z, zone in var.zones : z => zone.public_cidr if zone.public_cidr != null }
}

output "private_subnets" {
  description = "The private subnets to make, by zone: CIDR, and which zone's gateway they leave by."
  value = {
    for z, zone in var.zones : z => { cidr = zone.private_cidr, gateway = var.per_zone ? z : local.first } if zone.private_cidr != null
  }
}

output "internet_gateway_id" {
  description = "The internet gateway of the public subnets to make; null where none is made and none was given."
  value       = var.internet_gateway_id
}
