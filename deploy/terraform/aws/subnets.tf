# Subnets of our own, in the zones that give a CIDR.

resource "aws_subnet" "public" {
  for_each = module.zones.public_subnets

  vpc_id                  = var.vpc_id
  availability_zone       = each.key
  cidr_block              = each.value
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

resource "aws_route_table" "public" {
  for_each = module.zones.public_subnets

  vpc_id = var.vpc_id
  tags   = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

resource "aws_route" "public" {
  for_each = module.zones.public_subnets

  route_table_id         = aws_route_table.public[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = module.zones.internet_gateway_id
}

resource "aws_route_table_association" "public" {
  for_each = module.zones.public_subnets

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public[each.key].id
}

resource "aws_subnet" "private" {
  for_each = module.zones.private_subnets

  vpc_id            = var.vpc_id
  availability_zone = each.key
  cidr_block        = each.value.cidr
  tags              = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route_table" "private" {
  for_each = module.zones.private_subnets

  vpc_id = var.vpc_id
  tags   = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route" "private" {
  for_each = module.zones.private_subnets

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.egress[each.value.gateway].id
}

resource "aws_route_table_association" "private" {
  for_each = module.zones.private_subnets

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}
