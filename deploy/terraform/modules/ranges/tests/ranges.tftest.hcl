# The values of sallyport_egress_allowed that are asserted here are read by the
# product's own parsers in ../../../check.

run "one_address_and_a_spare_apart" {
  command = plan

  variables {
    addresses = ["203.0.113.7", "198.51.100.20"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "198.51.100.20,203.0.113.7"
    error_message = "Addresses apart must stay single, sorted by number."
  }

  assert {
    condition = output.salesforce_ip_ranges == [
      { start = "198.51.100.20", end = "198.51.100.20" },
      { start = "203.0.113.7", end = "203.0.113.7" },
    ]
    error_message = "A single address must start and end a pair of its own."
  }
}

run "neighbours_become_one_range" {
  command = plan

  variables {
    addresses = ["203.0.113.9", "203.0.113.7", "203.0.113.8", "203.0.113.11"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.7-203.0.113.9,203.0.113.11"
    error_message = "Three neighbours and a stranger must be one range and one address."
  }
}

run "an_address_that_is_given_twice_counts_once" {
  command = plan

  variables {
    addresses = ["203.0.113.7", "203.0.113.7"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.7"
    error_message = "A repeated address must be registered once."
  }
}

run "sorted_by_number_not_by_text" {
  command = plan

  variables {
    addresses = ["203.0.113.100", "203.0.113.20", "9.0.0.1"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "9.0.0.1,203.0.113.20,203.0.113.100"
    error_message = "9 comes before 203, and 20 before 100."
  }
}

run "a_range_goes_on_over_the_end_of_a_24" {
  command = plan

  variables {
    addresses = ["203.0.113.255", "203.0.114.0"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.255-203.0.114.0"
    error_message = "203.0.114.0 follows 203.0.113.255."
  }
}

run "a_prefix_is_one_range" {
  command = plan

  variables {
    prefixes = ["203.0.113.16/30"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.16-203.0.113.19"
    error_message = "Every address of a prefix counts, the first and the last too."
  }
}

run "a_prefix_takes_its_own_addresses_and_neighbours_in" {
  command = plan

  variables {
    addresses = ["203.0.113.17", "203.0.113.20"]
    prefixes  = ["203.0.113.16/30"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.16-203.0.113.20"
    error_message = "An address in the prefix changes nothing, one behind it makes the range longer."
  }
}

run "exactly_256_addresses_are_taken" {
  command = plan

  variables {
    prefixes = ["203.0.113.0/24"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "203.0.113.0-203.0.113.255"
    error_message = "A /24 is exactly what Salesforce takes."
  }
}

run "one_address_too_many_is_refused" {
  command = plan

  variables {
    addresses = ["198.51.100.1"]
    prefixes  = ["203.0.113.0/24"]
  }

  expect_failures = [output.salesforce_ip_ranges]
}

run "exactly_128_ranges_are_taken" {
  command = plan

  variables {
    addresses = [for n in range(128) : "203.0.113.${n * 2}"]
  }

  assert {
    condition     = length(output.salesforce_ip_ranges) == 128
    error_message = "Every second address is a range of its own."
  }
}

run "one_range_too_many_is_refused" {
  command = plan

  variables {
    addresses = concat([for n in range(128) : "203.0.113.${n * 2}"], ["198.51.100.1"])
  }

  expect_failures = [output.salesforce_ip_ranges]
}

run "nothing_to_register_is_a_fault" {
  command = plan

  expect_failures = [output.sallyport_egress_allowed]
}

run "a_private_address_is_refused" {
  command = plan

  variables {
    addresses = ["203.0.113.7", "172.20.0.4"]
  }

  expect_failures = [var.addresses]
}

run "the_shared_address_space_is_refused" {
  command = plan

  variables {
    addresses = ["100.127.255.255"]
  }

  expect_failures = [var.addresses]
}

run "the_public_neighbour_of_the_shared_space_is_taken" {
  command = plan

  variables {
    addresses = ["100.128.0.0"]
  }

  assert {
    condition     = output.sallyport_egress_allowed == "100.128.0.0"
    error_message = "100.64.0.0/10 ends at 100.127.255.255."
  }
}

run "ipv6_is_refused" {
  command = plan

  variables {
    addresses = ["2001:db8::7"]
  }

  expect_failures = [var.addresses]
}

run "a_leading_zero_is_refused" {
  command = plan

  variables {
    addresses = ["203.0.113.07"]
  }

  expect_failures = [var.addresses]
}

run "a_prefix_wider_than_salesforce_takes_is_refused" {
  command = plan

  variables {
    prefixes = ["203.0.112.0/23"]
  }

  expect_failures = [var.prefixes]
}

run "a_prefix_with_bits_behind_its_mask_is_refused" {
  command = plan

  variables {
    prefixes = ["203.0.113.17/30"]
  }

  expect_failures = [var.prefixes]
}

run "a_private_prefix_is_refused" {
  command = plan

  variables {
    prefixes = ["10.0.0.0/28"]
  }

  expect_failures = [var.prefixes]
}

run "a_dot_too_many_is_refused" {
  command = plan

  variables {
    addresses = ["203.0.113.7."]
  }

  expect_failures = [var.addresses]
}
