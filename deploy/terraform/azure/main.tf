# Static egress addresses in Azure: a public IP prefix, addresses from it, one of
# them spare, and a NAT gateway.
#
# The gateway gets single addresses of the prefix rather than the prefix: with a
# prefix it would leave by any of its addresses, which can be proved only as a
# set. The whole prefix is registered, as one range: all of it is ours.
#
# IPv4 only. Subnets with IPv6 leave by addresses that nobody has registered.

locals {
  zones = var.zone == null ? null : [var.zone]
}

module "pool" {
  source = "../modules/pool"

  name          = var.name
  nat_addresses = var.nat_addresses
  prefix_length = var.prefix_length
  leave_by      = var.leave_by
}

module "ranges" {
  source = "../modules/ranges"

  prefixes  = [azurerm_public_ip_prefix.egress.ip_prefix]
  addresses = [for a in values(azurerm_public_ip.egress) : a.ip_address]
}

resource "azurerm_public_ip_prefix" "egress" {
  name                = "${var.name}-egress"
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "Standard"
  ip_version          = "IPv4"
  prefix_length       = module.pool.prefix_length
  zones               = local.zones
  tags                = var.tags

  # Addresses that were released come never back, and every customer would have
  # to register other ones.
  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_public_ip" "egress" {
  for_each = module.pool.address_names

  name                = each.value
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "Standard"
  ip_version          = "IPv4"
  allocation_method   = "Static"
  public_ip_prefix_id = azurerm_public_ip_prefix.egress.id
  zones               = local.zones
  tags                = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_nat_gateway" "egress" {
  name                    = "${var.name}-egress"
  resource_group_name     = var.resource_group_name
  location                = var.location
  sku_name                = "Standard"
  idle_timeout_in_minutes = var.idle_timeout_in_minutes
  zones                   = local.zones
  tags                    = var.tags
}

resource "azurerm_nat_gateway_public_ip_association" "egress" {
  for_each = toset(module.pool.active_keys)

  nat_gateway_id       = azurerm_nat_gateway.egress.id
  public_ip_address_id = azurerm_public_ip.egress[each.key].id
}

resource "azurerm_subnet_nat_gateway_association" "egress" {
  for_each = var.subnet_ids

  subnet_id      = each.value
  nat_gateway_id = azurerm_nat_gateway.egress.id

  # A subnet goes over to the gateway once that has an address to leave by.
  depends_on = [azurerm_nat_gateway_public_ip_association.egress]
}
