//! The Linux host: network namespaces, veth pairs, addresses, routes, sysctls, nftables.
