variable "project" {
  type        = string
  description = "The id of the project."
}

variable "network" {
  type        = string
  description = "The VPC network."
}

variable "subnetwork" {
  type        = string
  description = "The id of the subnetwork that sallyport runs in, in europe-west3."

  validation {
    condition     = can(regex("regions/europe-west3/subnetworks/", var.subnetwork))
    error_message = "subnetwork must be an id such as projects/P/regions/europe-west3/subnetworks/S."
  }
}
