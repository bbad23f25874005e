variables {
  name = "sallyport"
}

run "by_default_one_address_and_a_spare" {
  command = plan

  assert {
    condition     = output.address_names == { "01" = "sallyport-egress-01", "spare" = "sallyport-egress-spare" }
    error_message = "One address and its spare, by name."
  }

  assert {
    condition     = output.active_keys == ["01"] && output.idle_keys == ["spare"]
    error_message = "Calls must leave by the one address, and the spare must wait."
  }
}

run "a_move_begins_with_both" {
  command = plan

  variables {
    leave_by = "both"
  }

  assert {
    condition     = output.active_keys == ["01", "spare"] && output.idle_keys == []
    error_message = "While moving, calls leave by either."
  }
}

run "a_move_ends_with_the_spare_alone" {
  command = plan

  variables {
    leave_by = "spare"
  }

  assert {
    condition     = output.active_keys == ["spare"] && output.idle_keys == ["01"]
    error_message = "After a move the spare alone is left by, and the old address is kept."
  }
}

run "a_move_changes_no_key" {
  command = plan

  variables {
    leave_by = "spare"
  }

  assert {
    condition     = keys(output.address_names) == ["01", "spare"]
    error_message = "A key that goes is an address that is destroyed."
  }
}

run "more_addresses_come_behind" {
  command = plan

  variables {
    nat_addresses = 11
  }

  assert {
    condition     = output.active_keys[0] == "01" && output.active_keys[10] == "11" && length(output.address_names) == 12
    error_message = "Keys are numbered in order, with the spare beside them."
  }
}

run "a_31_holds_one_and_the_spare" {
  command = plan

  variables {
    prefix_length = 31
  }

  assert {
    condition     = length(output.address_names) == 2
    error_message = "Two addresses are a /31."
  }
}

run "a_31_holds_no_more" {
  command = plan

  variables {
    prefix_length = 31
    nat_addresses = 2
  }

  expect_failures = [var.prefix_length]
}

run "a_28_holds_fifteen_and_the_spare" {
  command = plan

  variables {
    prefix_length = 28
    nat_addresses = 15
  }

  assert {
    condition     = length(output.address_names) == 16
    error_message = "Sixteen addresses are a /28."
  }
}

run "a_27_is_refused" {
  command = plan

  variables {
    prefix_length = 27
  }

  expect_failures = [var.prefix_length]
}

run "sixteen_and_a_spare_are_refused" {
  command = plan

  variables {
    nat_addresses = 16
  }

  expect_failures = [var.nat_addresses]
}

run "none_is_refused" {
  command = plan

  variables {
    nat_addresses = 0
  }

  expect_failures = [var.nat_addresses]
}

run "half_an_address_is_refused" {
  command = plan

  variables {
    nat_addresses = 1.5
  }

  expect_failures = [var.nat_addresses]
}

run "an_unknown_way_out_is_refused" {
  command = plan

  variables {
    leave_by = "secondary"
  }

  expect_failures = [var.leave_by]
}

run "a_name_that_ends_in_a_dash_is_refused" {
  command = plan

  variables {
    name = "sallyport-"
  }

  expect_failures = [var.name]
}

run "a_name_that_is_too_long_is_refused" {
  command = plan

  variables {
    name = "sallyport-of-the-integration-team-in-europe"
  }

  expect_failures = [var.name]
}
