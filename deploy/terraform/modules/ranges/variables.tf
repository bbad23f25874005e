variable "addresses" {
  type        = list(string)
  description = "Public IPv4 addresses, in any order; one that is given twice counts once."
  default     = []
  nullable    = false

  # A leading zero is refused: some read it as octal.
  validation {
    condition = alltrue([for a in var.addresses :
      can(regex("^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])$", a))
    ])
    error_message = "Each address must be an IPv4 address, such as 203.0.113.7."
  }

  validation {
    condition = alltrue([for a in var.addresses : !can(regex(
      "^(0|10|127|169\\.254|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])|22[4-9]|2[3-5][0-9])\\.", a
    ))])
    error_message = "An address is private, shared, link-local or multicast: Salesforce never sees it."
  }
}

variable "prefixes" {
  type        = list(string)
  description = "Public IPv4 prefixes whose every address counts, such as 203.0.113.0/31."
  default     = []
  nullable    = false

  validation {
    condition = alltrue([for p in var.prefixes :
      can(regex("^((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])/(2[4-9]|3[0-2])$", p)) && try(cidrhost(p, 0) == split("/", p)[0], false)
    ])
    error_message = "Each prefix must be an IPv4 CIDR from /24 to /32 with no bits behind its mask: a /24 alone is all that Salesforce takes."
  }

  validation {
    condition = alltrue([for p in var.prefixes : !can(regex(
      "^(0|10|127|169\\.254|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168|100\\.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7])|22[4-9]|2[3-5][0-9])\\.", p
    ))])
    error_message = "A prefix is private, shared, link-local or multicast: Salesforce never sees it."
  }
}
