variable "name" {
  type        = string
  description = "The beginning of every resource's name."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,39}$", var.name)) && !endswith(var.name, "-")
    error_message = "The name must be 1 to 40 lower-case letters, digits and dashes, begin with a letter and not end with a dash: what follows it must fit into 63 characters."
  }
}

variable "nat_addresses" {
  type        = number
  description = "How many addresses calls leave by, the spare aside."
  default     = 1
  nullable    = false

  validation {
    condition     = floor(var.nat_addresses) == var.nat_addresses && var.nat_addresses >= 1 && var.nat_addresses <= 15
    error_message = "There must be 1 to 15 addresses: with the spare they must not be more than the 16 that a NAT gateway takes."
  }
}

variable "prefix_length" {
  type        = number
  description = "The length of the prefix that the addresses are taken from; null where each is reserved on its own."
  default     = null

  validation {
    condition     = var.prefix_length == null ? true : contains([28, 29, 30, 31], var.prefix_length)
    error_message = "The prefix must be a /28, /29, /30 or /31."
  }

  validation {
    condition     = var.prefix_length == null ? true : var.nat_addresses + 1 <= pow(2, 32 - var.prefix_length)
    error_message = "The prefix has no room for the addresses and the spare: a /31 holds 2, a /30 holds 4, a /29 8, a /28 16."
  }
}

variable "leave_by" {
  type        = string
  description = "What calls leave by: primary, both (while moving) or spare."
  default     = "primary"
  nullable    = false

  validation {
    condition     = contains(["primary", "both", "spare"], var.leave_by)
    error_message = "Calls leave by primary, both or spare."
  }
}
