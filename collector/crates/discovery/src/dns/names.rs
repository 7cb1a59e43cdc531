//! Which full names are asked for when a user writes one.

use hickory_resolver::proto::rr::Name;

/// Whether a name can be asked for.
pub(crate) fn check_name(text: &str) -> Result<(), String> {
    match Name::from_str_relaxed(text) {
        Ok(name) if name.num_labels() == 0 => Err("the name is empty".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Full names in the order in which they are tried: below the search domains first where the name has fewer than
/// `n_dots` dots, as it is first where it has more; only as it is where it ends with a dot.
pub(super) fn candidates(text: &str, search: &[Name], n_dots: usize) -> Result<Vec<Name>, String> {
    let readable = |error: hickory_resolver::proto::ProtoError| error.to_string();
    let mut name = Name::from_str_relaxed(text).map_err(readable)?;
    if name.is_fqdn() {
        return Ok(vec![name]);
    }
    let has_dots = usize::from(name.num_labels()) > n_dots;
    // A domain that makes the name too long cannot hold it.
    let below = search.iter().filter_map(|domain| name.clone().append_domain(domain).ok());
    let mut candidates: Vec<Name> = below.collect();
    name.set_fqdn(true);
    let at = if has_dots { 0 } else { candidates.len() };
    candidates.insert(at, name);
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_domains_come_first_for_names_with_few_dots() {
        let search = ["shop.svc.cluster.local.", "cluster.local"].map(|name| Name::from_ascii(name).unwrap());
        for (name, n_dots, expected) in [
            ("cart", 1, "cart.shop.svc.cluster.local. cart.cluster.local. cart."),
            ("cart.shop", 1, "cart.shop. cart.shop.shop.svc.cluster.local. cart.shop.cluster.local."),
            ("cart.shop", 5, "cart.shop.shop.svc.cluster.local. cart.shop.cluster.local. cart.shop."),
            ("cart.shop.", 5, "cart.shop."),
            (
                "_http._tcp.cart",
                5,
                "_http._tcp.cart.shop.svc.cluster.local. _http._tcp.cart.cluster.local. _http._tcp.cart.",
            ),
        ] {
            let names = candidates(name, &search, n_dots).unwrap();
            let names: Vec<String> = names.iter().map(Name::to_ascii).collect();
            assert_eq!(names.join(" "), expected, "{name}");
        }
        assert_eq!(candidates("cart", &[], 1).unwrap().len(), 1);
    }

    #[test]
    fn a_name_has_labels_of_at_most_63_characters() {
        for good in ["a", "_sip._udp.example.com", "example.com.", "xn--bcher-kva.example"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", &long, &"abc.".repeat(70)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
