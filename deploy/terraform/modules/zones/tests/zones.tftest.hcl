variables {
  internet_gateway_id = "igw-0a"
  zones = {
    eu-central-1a = { public_subnet_id = "subnet-0a", route_table_ids = ["rtb-0a", "rtb-0b"] }
    eu-central-1b = { public_cidr = "10.0.1.0/28", private_cidr = "10.0.2.0/24" }
  }
}

run "by_default_one_gateway_with_one_address_and_a_spare" {
  command = plan

  assert {
    condition     = output.gateways == { eu-central-1a = "first" }
    error_message = "One gateway, in the first zone, by the first address."
  }

  assert {
    condition     = output.address_keys == ["first", "spare"]
    error_message = "Two addresses: one in use and the spare."
  }

  assert {
    condition     = alltrue([for r in values(output.routes) : r.gateway == "eu-central-1a"]) && output.private_subnets["eu-central-1b"].gateway == "eu-central-1a"
    error_message = "All zones leave by the one gateway."
  }
}

run "existing_route_tables_and_own_subnets" {
  command = plan

  assert {
    condition     = { for k, r in output.routes : k => r.route_table_id } == { "eu-central-1a/0" = "rtb-0a", "eu-central-1a/1" = "rtb-0b" }
    error_message = "Each existing table gets a route."
  }

  assert {
    condition     = output.public_subnets == { eu-central-1b = "10.0.1.0/28" } && output.private_subnets["eu-central-1b"].cidr == "10.0.2.0/24"
    error_message = "Subnets are made where a CIDR is given, and only there."
  }
}

run "one_for_each_zone_on_request" {
  command = plan

  variables {
    per_zone = true
  }

  assert {
    condition     = output.gateways == { eu-central-1a = "first", eu-central-1b = "eu-central-1b" }
    error_message = "A gateway and an address for each zone."
  }

  assert {
    condition     = output.address_keys == ["first", "eu-central-1b", "spare"]
    error_message = "One spare for all of them."
  }

  assert {
    condition     = output.routes["eu-central-1a/1"].gateway == "eu-central-1a" && output.private_subnets["eu-central-1b"].gateway == "eu-central-1b"
    error_message = "Each zone leaves by its own gateway."
  }
}

run "going_to_one_for_each_zone_destroys_no_address" {
  command = plan

  variables {
    per_zone = true
  }

  assert {
    condition     = alltrue([for k in ["first", "spare"] : contains(output.address_keys, k)])
    error_message = "A key that goes is an address that is destroyed."
  }
}

run "a_move_to_the_spare_changes_no_key" {
  command = plan

  variables {
    spare_in = "eu-central-1a"
  }

  assert {
    condition     = output.gateways == { eu-central-1a = "spare" } && output.address_keys == ["first", "spare"]
    error_message = "The gateway leaves by the spare, and the first address is kept."
  }
}

run "a_lost_zone_is_left_with_the_spare" {
  command = plan

  variables {
    nat_zone = "eu-central-1b"
    spare_in = "eu-central-1b"
  }

  assert {
    condition     = output.gateways == { eu-central-1b = "spare" } && output.address_keys == ["first", "spare"]
    error_message = "The gateway goes to the other zone and the spare, and no address is destroyed."
  }

  assert {
    condition     = output.routes["eu-central-1a/0"].gateway == "eu-central-1b"
    error_message = "Everyone follows."
  }
}

run "with_one_for_each_zone_one_at_a_time_moves" {
  command = plan

  variables {
    per_zone = true
    spare_in = "eu-central-1b"
  }

  assert {
    condition     = output.gateways == { eu-central-1a = "first", eu-central-1b = "spare" }
    error_message = "Only the zone that was named leaves by the spare."
  }
}

run "the_spare_needs_a_zone_with_a_gateway" {
  command = plan

  variables {
    spare_in = "eu-central-1b"
  }

  expect_failures = [var.spare_in]
}

run "the_gateway_needs_a_known_zone" {
  command = plan

  variables {
    nat_zone = "eu-central-1c"
  }

  expect_failures = [var.nat_zone]
}

run "the_gateway_needs_a_public_subnet" {
  command = plan

  variables {
    zones = { eu-central-1a = { route_table_ids = ["rtb-0a"] } }
  }

  expect_failures = [var.nat_zone]
}

run "with_one_for_each_zone_every_zone_needs_a_public_subnet" {
  command = plan

  variables {
    per_zone = true
    zones = {
      eu-central-1a = { public_subnet_id = "subnet-0a" }
      eu-central-1b = { route_table_ids = ["rtb-0b"] }
    }
  }

  expect_failures = [var.per_zone]
}

run "somebody_must_leave_by_the_gateway" {
  command = plan

  variables {
    zones = { eu-central-1a = { public_subnet_id = "subnet-0a" } }
  }

  expect_failures = [var.zones]
}

run "a_public_subnet_is_there_or_made_not_both" {
  command = plan

  variables {
    zones = { eu-central-1a = { public_subnet_id = "subnet-0a", public_cidr = "10.0.1.0/28", route_table_ids = ["rtb-0a"] } }
  }

  expect_failures = [var.zones]
}

run "a_subnet_that_aws_would_refuse" {
  command = plan

  variables {
    zones = { eu-central-1a = { public_cidr = "10.0.1.0/29", route_table_ids = ["rtb-0a"] } }
  }

  expect_failures = [var.zones]
}

run "a_subnet_with_bits_behind_its_mask" {
  command = plan

  variables {
    zones = { eu-central-1a = { public_cidr = "10.0.1.4/28", route_table_ids = ["rtb-0a"] } }
  }

  expect_failures = [var.zones]
}

run "a_region_is_no_zone" {
  command = plan

  variables {
    zones = { eu-central-1 = { public_subnet_id = "subnet-0a", route_table_ids = ["rtb-0a"] } }
  }

  expect_failures = [var.zones]
}

run "a_public_subnet_to_make_needs_the_internet_gateway" {
  command = plan

  variables {
    internet_gateway_id = null
  }

  expect_failures = [var.internet_gateway_id]
}
