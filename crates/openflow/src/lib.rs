//! OpenFlow 1.5 with the Nicira and OVS extensions: a sans-IO codec.
