# Static egress addresses in AWS: Elastic IPs, one of them spare, and NAT
# gateways that leave by them.
#
# A gateway has one address. With secondary_allocation_ids it would have several,
# and AWS would choose among them for each connection: what an echo tells of one
# connection would say nothing of the next, so a NAT with several addresses can be
# proved only as a set. The spare is therefore attached to nothing until it is used.
#
# IPv4 only. Hosts that also have IPv6 and a route for ::/0, as by an egress-only
# internet gateway, leave by an address of their own, which nobody has registered:
# the route tables that are given here must not have one.

module "zones" {
  source = "../modules/zones"

  zones               = var.zones
  per_zone            = var.per_zone
  nat_zone            = var.nat_zone
  spare_in            = var.spare_in
  internet_gateway_id = var.internet_gateway_id
}

module "ranges" {
  source = "../modules/ranges"

  addresses = [for k in module.zones.address_keys : aws_eip.egress[k].public_ip]
}

resource "aws_eip" "egress" {
  for_each = toset(module.zones.address_keys)

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-egress-${each.key}" })

  # An address that was released comes never back, and every customer would
  # have to register another one.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_nat_gateway" "egress" {
  for_each = module.zones.gateways

  allocation_id     = aws_eip.egress[each.value].id
  connectivity_type = "public"
  subnet_id         = var.zones[each.key].public_cidr == null ? var.zones[each.key].public_subnet_id : aws_subnet.public[each.key].id
  tags              = merge(var.tags, { Name = "${var.name}-egress-${each.key}" })

  # A gateway works only once its subnet has a way out.
  depends_on = [aws_route.public, aws_route_table_association.public]

  # Another address means another gateway. It stands before routes go over to
  # it; the old one goes last.
  lifecycle {
    create_before_destroy = true
  }
}

# Existing private subnets.
resource "aws_route" "existing" {
  for_each = module.zones.routes

  route_table_id         = each.value.route_table_id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.egress[each.value.gateway].id
}
