# Static egress addresses in Google Cloud: reserved addresses, one of them
# spare, and a Cloud NAT that may use no other ones. It is regional: one serves
# all zones.
#
# IPv4 only. Machines that also have an external IPv6 address leave by that, which
# nobody has registered: the subnetworks that are given here must not have one.

module "pool" {
  source = "../modules/pool"

  name          = var.name
  nat_addresses = var.nat_addresses
  leave_by      = var.leave_by
}

module "ranges" {
  source = "../modules/ranges"

  addresses = [for a in values(google_compute_address.egress) : a.address]
}

resource "google_compute_address" "egress" {
  for_each = module.pool.address_names

  project      = var.project
  region       = var.region
  name         = each.value
  address_type = "EXTERNAL"
  network_tier = "PREMIUM"
  labels       = var.labels

  # An address that was released comes never back, and every customer would
  # have to register another one.
  lifecycle {
    prevent_destroy = true
  }
}

resource "google_compute_router" "egress" {
  project = var.project
  region  = var.region
  name    = "${var.name}-egress"
  network = var.network
}

resource "google_compute_router_nat" "egress" {
  project = var.project
  region  = var.region
  name    = "${var.name}-egress"
  router  = google_compute_router.egress.name

  # Left to itself, Google would take whatever address is free.
  nat_ip_allocate_option = "MANUAL_ONLY"
  nat_ips                = [for k in module.pool.active_keys : google_compute_address.egress[k].self_link]
  drain_nat_ips          = var.drain ? [for k in module.pool.idle_keys : google_compute_address.egress[k].self_link] : []

  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  # Connections to one place share its address and port, so each needs a port of
  # its own here. Endpoint-independent mapping would keep a port for one socket
  # whatever it talks to: it serves peers that call back, which Salesforce never does.
  min_ports_per_vm                    = var.min_ports_per_vm
  enable_dynamic_port_allocation      = false
  enable_endpoint_independent_mapping = false

  dynamic "subnetwork" {
    for_each = var.subnetworks

    content {
      name                    = subnetwork.value
      source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
    }
  }

  # Told when a machine has run out of ports.
  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
