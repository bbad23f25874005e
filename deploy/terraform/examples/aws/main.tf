# One NAT gateway, in eu-central-1a, for existing private subnets of that zone
# and a new one in eu-central-1b.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 6.25"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

module "egress" {
  source = "../../aws"

  vpc_id              = var.vpc_id
  internet_gateway_id = var.internet_gateway_id
  zones = {
    eu-central-1a = { public_subnet_id = var.public_subnet_id, route_table_ids = var.route_table_ids }
    # Its public subnet has no gateway as yet: it is there for the day that
    # nat_zone and spare_in name this zone.
    eu-central-1b = { public_cidr = "10.0.101.0/28", private_cidr = "10.0.102.0/24" }
  }
  tags = { service = "sallyport" }
}
