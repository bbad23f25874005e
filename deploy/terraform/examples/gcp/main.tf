# One address and the spare for one subnetwork.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.50.0, < 8.0.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = "europe-west3"
}

module "egress" {
  source = "../../gcp"

  project     = var.project
  region      = "europe-west3"
  network     = var.network
  subnetworks = [var.subnetwork]
  labels      = { service = "sallyport" }
}
