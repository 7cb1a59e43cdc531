//! Kubernetes as the rest of the program sees it: one watch per kind of resource and scope, however many look.
